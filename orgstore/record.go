package orgstore

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"time"
)

// exportVersion is the version of the format that FORMAT.md describes. A change that an older reader would misunderstand raises it.
const exportVersion = 1

// exportHeader is the first line of an export.
type exportHeader struct {
	Version      int    `json:"orgauthz_export"`
	Organization string `json:"organization_id,omitempty"` // of an export of one organization
}

// exportEnd is the value of the last line, by which a file that was cut off is told.
type exportEnd struct {
	Records int64            `json:"records"`
	Counts  map[string]int64 `json:"counts"`
}

// ExportWriter writes records in the format of Engine.Export (see FORMAT.md), for converters from elsewhere. It is for one goroutine.
type ExportWriter struct {
	w   *bufio.Writer
	enc *json.Encoder
	end exportEnd
}

// NewExportWriter returns an ExportWriter that writes to w, and writes the header.
func NewExportWriter(w io.Writer) (*ExportWriter, error) { return newExportWriter(w, "") }

func newExportWriter(w io.Writer, org string) (*ExportWriter, error) {
	buffered := bufio.NewWriterSize(w, 64*1024)
	x := &ExportWriter{w: buffered, enc: json.NewEncoder(buffered), end: exportEnd{Counts: map[string]int64{}}}
	x.enc.SetEscapeHTML(false)
	return x, x.enc.Encode(exportHeader{exportVersion, org})
}

// Write writes one record. Its type and the fields of value are those of FORMAT.md; what it refers to must have been written before.
func (x *ExportWriter) Write(typ string, value any) error {
	if recordTypes[typ] == nil && typ != memberType {
		return &Invalid{"type", "", "must be a type of record"}
	}
	x.end.Records++
	x.end.Counts[typ]++
	return x.write(typ, value)
}

func (x *ExportWriter) write(typ string, value any) error {
	return x.enc.Encode(struct {
		Type  string `json:"type"`
		Value any    `json:"value"`
	}{typ, value})
}

// Close writes the last line and everything that is still in memory. Without it the file counts as cut off.
func (x *ExportWriter) Close() error { return errors.Join(x.write(endType, x.end), x.w.Flush()) }

func (x *ExportWriter) result() ExportResult {
	return ExportResult{x.end.Records, maps.Clone(x.end.Counts)}
}

// The types of records that are not in recordTypes.
const (
	memberType = "member" // is imported many at a time
	endType    = "end"
)

// Records that are not simply a type of this package. What refers to what comes later is in a record of its own.
type (
	organizationRecord struct {
		Organization // without what is in settingsRecord

		Security         *SecurityPolicy `json:"security,omitempty"`
		TokensValidAfter time.Time       `json:"tokens_valid_after,omitzero"`
	}
	settingsRecord struct {
		Organization string    `json:"organization_id"`
		Parent       string    `json:"parent_id,omitempty"`
		OwnerRole    string    `json:"owner_role,omitempty"`
		LoginDomain  string    `json:"login_domain,omitempty"`
		DeleteAt     time.Time `json:"delete_at,omitzero"`
	}
	isolationRecord struct {
		Connection string `json:"connection_id"`
	}
	clientRecord struct {
		Client

		Connections []string `json:"connections,omitempty"` // ids of those that it uses
	}
	userRecord struct {
		User

		Identities       []identityRecord `json:"identities,omitempty"`
		Groups           []string         `json:"groups,omitempty"` // ids
		TokensValidAfter time.Time        `json:"tokens_valid_after,omitzero"`
	}
	identityRecord struct {
		Identity

		LinkedFrom string `json:"linked_from,omitempty"` // the id of the user that it was before it was linked
	}
	organizationClientRecord struct {
		Organization       string    `json:"organization_id"`
		Client             string    `json:"client_id"`
		UseForMemberAccess bool      `json:"use_for_member_access"`
		CreatedAt          time.Time `json:"created_at"`
		UpdatedAt          time.Time `json:"updated_at"`
	}
	organizationGrantRecord struct {
		Organization string    `json:"organization_id"`
		Grant        string    `json:"grant_id"`
		CreatedAt    time.Time `json:"created_at"`
	}
	teamRecord struct {
		Team

		Roles []string `json:"roles,omitempty"` // ids
	}
	organizationGroupRecord struct {
		Organization string   `json:"organization_id"`
		Group        string   `json:"group_id"`
		Roles        []string `json:"roles,omitempty"` // ids
	}
	memberRecord struct {
		Organization     string            `json:"organization_id"`
		User             string            `json:"user_id"`
		Status           MemberStatus      `json:"status"`
		Kind             string            `json:"kind"`
		Metadata         map[string]string `json:"metadata,omitempty"`
		Roles            []RoleAssignment  `json:"roles,omitempty"`
		Teams            []string          `json:"teams,omitempty"` // ids
		JoinedBy         string            `json:"joined_by"`
		JoinedAt         time.Time         `json:"joined_at"`
		UpdatedAt        time.Time         `json:"updated_at"`
		ExpiresAt        time.Time         `json:"expires_at,omitzero"`
		UsedAt           time.Time         `json:"used_at,omitzero"`
		TokensValidAfter time.Time         `json:"tokens_valid_after,omitzero"`
	}
)
