//! Decoders that are private, for the fuzz targets alone.

/// The number of usable keys in an issuer's key set; `None` if it has none or is none.
pub fn key_set(body: &[u8]) -> Option<usize> {
    crate::jwks::usable_keys(body)
}
