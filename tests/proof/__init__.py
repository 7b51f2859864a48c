"""Proofs that take minutes: `make proof`. The suite of `make test` leaves them out."""
