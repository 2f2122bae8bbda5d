package cached

import (
	"errors"
	"fmt"

	"github.com/orgauthz/orgauthz/orgstore"
)

// ErrDegraded is the category of what Health reports when answers are right but one tier is missing: slower, and other
// nodes' changes are seen within MaxStaleness only. A readiness check should let it pass; an alarm should not.
var ErrDegraded = errors.New("cached: degraded")

// Every error of Resolve that is not the context's own is one of these, or the loader's, and is an orgstore.ErrUnavailable.
var (
	errClosed  = fmt.Errorf("%w: cached: the store is closed", orgstore.ErrUnavailable)
	errBusy    = fmt.Errorf("%w: cached: too many loads at once", orgstore.ErrUnavailable)
	errTimeout = fmt.Errorf("%w: cached: the loader did not answer in time", orgstore.ErrUnavailable)
	errPanic   = fmt.Errorf("%w: cached: the loader panicked", orgstore.ErrUnavailable)
	errAnswer  = fmt.Errorf("%w: cached: the loader's answer is malformed", orgstore.ErrUnavailable)
	errOld     = fmt.Errorf("%w: cached: the loader's answer is older than MaxStaleness", orgstore.ErrUnavailable)
	errChanged = fmt.Errorf("%w: cached: the answer changed each time it was read", orgstore.ErrUnavailable)
	errBehind  = fmt.Errorf("%w: cached: the source has not reached the revisions asked for", orgstore.ErrUnavailable)
)

// unavailable makes any error of a loader one that callers know how to refuse.
func unavailable(err error) error {
	if errors.Is(err, orgstore.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: cached: %w", orgstore.ErrUnavailable, err)
}
