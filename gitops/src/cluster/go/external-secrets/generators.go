// Package register has no generators: the repository uses none.
package register
