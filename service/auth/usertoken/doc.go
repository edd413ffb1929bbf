// Package usertoken makes the tokens of users, and the limited ones that can be made of them.
//
// A user's token is issued at sign-in, by the auth plugin: [Issue]. Who has one has the power of the user. Where it is enough to prove
// who the user is, a limited token takes its place: with the same subject and times, and nothing else. Everybody can make it of a
// user's token, with [Limit] and without a key, because the issuer has signed it beforehand: the claim `uip` is the signature. For that
// both have to encode the limited token in the same way, byte by byte.
//
// This package makes tokens. To find out whether one is genuine is the task of service.Auth.
package usertoken
