package rediscache

import "github.com/redis/go-redis/v9"

// getScript returns {seconds, microseconds} of the shard's clock, then the length of the entry when there is one (-1 when
// it is of another type), then, when it may be read, its life in milliseconds, its value and the cells.
// KEYS: entry, cells. ARGV: longest entry.
var getScript = redis.NewScript(`
local t = redis.call('TIME')
local n = redis.pcall('STRLEN', KEYS[1])
if type(n) ~= 'number' then n = -1 end
if n == 0 then return {t[1], t[2]} end
if n < 0 or n > tonumber(ARGV[1]) then return {t[1], t[2], n} end
local v = redis.call('MGET', unpack(KEYS))
return {t[1], t[2], n, redis.call('PTTL', KEYS[1]), v[1], v[2], v[3], v[4]}
`)

// putScript stores an entry that dies at a fixed instant of the shard's clock, unless that has passed, or a cell or the
// entry in place knows a higher revision of a scope of its vector. An entry in place that never dies, or dies later than
// any could, is no entry.
// KEYS: entry, cells. ARGV: value, instant of death and longest life in milliseconds, scopes of the cells.
var putScript = redis.NewScript(`
local function vector(value)
  local v = {}
  local nl = string.find(value, '\n', 1, true)
  if nl then
    for scope, revision in string.gmatch(string.sub(value, 6, nl - 1), '(%S+)=(%d+)') do v[scope] = tonumber(revision) end
  end
  return v
end
local t = redis.call('TIME')
if tonumber(ARGV[2]) <= t[1] * 1000 + math.floor(t[2] / 1000) then return 'late' end
local new = vector(ARGV[1])
for i = 2, #KEYS do
  local known = redis.pcall('GET', KEYS[i])
  known = type(known) == 'string' and tonumber(known)
  local revision = new[ARGV[i + 2]]
  if known and revision and revision < known then return 'tombstone' end
end
local old = redis.pcall('GET', KEYS[1])
local ttl = redis.call('PTTL', KEYS[1])
if type(old) == 'string' and ttl > 0 and ttl <= tonumber(ARGV[3]) then
  for scope, revision in pairs(vector(old)) do
    if new[scope] and new[scope] < revision then return 'older' end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
return 'stored'
`)

// raiseScript raises a cell, and removes the entry that falls with it, first, as a full Redis still deletes.
// KEYS: cell, entry or none. ARGV: revision, life of the cell in milliseconds.
const raiseScript = `
if KEYS[2] then redis.call('DEL', KEYS[2]) end
local known = redis.pcall('GET', KEYS[1])
known = type(known) == 'string' and tonumber(known)
if known and known > tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
`
