//go:build tools

// Package tools pins the program that `make workflows` builds.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
