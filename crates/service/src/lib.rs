//! What every process does the same: settings, telemetry, health, metrics, gRPC, drain, access, database.
