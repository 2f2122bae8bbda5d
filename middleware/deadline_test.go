package middleware

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A deadlineContext must keep the contract of context.Context whether anybody waits for it or not.
func TestDeadlineContext(t *testing.T) {
	made := func(parent context.Context) *deadlineContext {
		return &deadlineContext{parent: parent, deadline: time.Now().Add(time.Second)}
	}
	t.Run("passes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := made(t.Context())
			defer c.end()
			if c.Err() != nil || c.made.Load() != nil {
				t.Error("asking for the error must not start a timer")
			}
			time.Sleep(time.Second)
			if c.Err() != context.DeadlineExceeded {
				t.Error(c.Err())
			}
			<-c.Done()
			c.end()
			if c.Err() != context.DeadlineExceeded {
				t.Error("another error after the first:", c.Err())
			}
		})
	})
	t.Run("ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			before, after := made(t.Context()), made(t.Context())
			done := before.Done()
			before.end()
			<-done
			after.end()
			<-after.Done()
			if before.Err() != context.Canceled || after.Err() != context.Canceled {
				t.Error(before.Err(), after.Err())
			}
		})
	})
	t.Run("follows its parent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			type key struct{}
			parent, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, 1), time.Millisecond)
			defer cancel()
			c := made(parent)
			defer c.end()
			want, _ := parent.Deadline()
			if got, _ := c.Deadline(); got != want || c.Value(key{}) != 1 {
				t.Error("the parent's deadline or value is lost")
			}
			<-parent.Done()
			if c.Err() != context.DeadlineExceeded || c.Value(key{}) != 1 {
				t.Error(c.Err())
			}
		})
	})
	t.Run("derived contexts end with it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := made(t.Context())
			derived, cancel := context.WithCancel(c)
			defer cancel()
			c.end()
			<-derived.Done()
		})
	})
	t.Run("concurrently", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := made(t.Context())
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { <-c.Done() })
				wg.Go(func() { _ = c.Err() })
			}
			wg.Go(c.end)
			wg.Wait()
		})
	})
}
