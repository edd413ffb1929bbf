// Package e2e tests Portico with programs that were made for Backstage, as they come from npm. Its tests need Node.
package e2e
