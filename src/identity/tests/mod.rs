//! Credentials against real parts: a database file, a key set served over TCP.
