// Package attack tests what has to be refused: rows A01 and on. An attacker answers in the registry's place, stands where
// it points to, or hands in arguments.
package attack
