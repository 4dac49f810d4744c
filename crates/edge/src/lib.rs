//! Terminates client connections and fans events out to them.
