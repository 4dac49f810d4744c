"""Migrations of the outbox and of feeds."""
