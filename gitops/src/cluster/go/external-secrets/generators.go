// Package register has the one generator that the repository uses, of passwords.
package register

import _ "github.com/external-secrets/external-secrets/pkg/generator/password"
