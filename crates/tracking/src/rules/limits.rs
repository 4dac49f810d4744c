//! Every number of these rules, in one place. Times in milliseconds, lengths in metres, speeds in metres per second.

/// The numbers. [`Default`] has the domain's; the settings become this.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    // Fixes.
    /// How far ahead of our clock a fix may be recorded.
    pub(crate) ahead_millis: i64,
    /// A fix that is known less well is kept for the trail only.
    pub(crate) accuracy_max_m: f64,
    /// What a fix is taken for that names no accuracy, or a better one than receivers have.
    pub(crate) accuracy_min_m: f64,
    /// Faster than this is a jump: 150 km/h.
    pub(crate) jump_mps: f64,
    /// So many fixes in a row that agree on a new place make it true.
    pub(crate) jump_agreeing: u8,
    /// Bytes for the moments of fixes that are remembered to recognise a repeat: one each at an even pace.
    pub(crate) seen_bytes: usize,

    // Smoothing.
    /// Process noise at 5 s and more between fixes, m²/s³. With 1, every twentieth good fix of a car is refused in turns.
    pub(crate) noise_slow: f64,
    /// Process noise at 1 s and less between fixes, m²/s³.
    pub(crate) noise_fast: f64,
    /// Squared, normalised distance from where a fix was expected: chi-square, 2 degrees of freedom, 99.9 %.
    pub(crate) gate: f64,
    /// Rejections in a row after which the filter begins anew.
    pub(crate) gate_rejections: u8,
    /// A gap after which the filter begins anew.
    pub(crate) gap_millis: i64,
    /// A rider moves who is faster than this.
    pub(crate) moving_mps: f64,

    // Fences.
    pub(crate) arrived_m: f64,
    pub(crate) approaching_m: f64,
    /// Left is so far beyond where the rider had arrived.
    pub(crate) left_m: f64,
    /// PlatePal's zones: who stays this near has arrived as well.
    pub(crate) zone_m: f64,
    /// Fixes inside that make an arrival.
    pub(crate) confirming_fixes: u8,
    /// Time inside that makes an arrival.
    pub(crate) confirming_millis: i64,
    /// Standing so long in the zone makes an arrival: longer than a red light.
    pub(crate) zone_millis: i64,
    /// Who is faster passes by.
    pub(crate) passing_mps: f64,

    // Liveness.
    pub(crate) stale_millis: i64,
    pub(crate) offline_millis: i64,
    pub(crate) unknown_millis: i64,

    // ETA.
    /// Without roads: the way is longer than the great circle by this factor.
    pub(crate) detour: f64,
    /// Speed of a rider of whom nothing is known: 30 km/h.
    pub(crate) speed_default_mps: f64,
    pub(crate) speed_min_mps: f64,
    pub(crate) speed_max_mps: f64,
    /// Time constant of the mean of recent speeds.
    pub(crate) speed_memory_millis: i64,
    /// From being there to having handed over.
    pub(crate) handover_millis: i64,
    /// An ETA has to differ by this much, for `eta_hold_millis`, until another is shown.
    pub(crate) eta_step_millis: i64,
    pub(crate) eta_hold_millis: i64,
    /// Who is this far from the held line has left it.
    pub(crate) off_line_m: f64,
    /// A held line is good for this long.
    pub(crate) reroute_after_millis: i64,
    /// Roads are asked at most this often for one delivery.
    pub(crate) reroute_pause_millis: i64,
    /// Points of a held line.
    pub(crate) line_points: usize,

    // Showing.
    /// One position per delivery within this time.
    pub(crate) show_min_millis: i64,
    /// At least one within this time while moving.
    pub(crate) show_max_millis: i64,

    // Trails.
    /// What simplifying may cost.
    pub(crate) trail_error_m: f64,
    /// Nothing is stored this near to where a shift started and ended.
    pub(crate) privacy_m: f64,
    /// A stand of this length keeps both its moments.
    pub(crate) stand_millis: i64,

    // Area.
    /// Characters of a cell's geohash: 6 are about 1.2 × 0.6 km.
    pub(crate) area_precision: usize,

    // Offers.
    /// Offers of one delivery, declined or expired, after which it escalates.
    pub(crate) offers_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ahead_millis: 60_000,
            accuracy_max_m: 200.0,
            accuracy_min_m: 3.0,
            jump_mps: 41.7,
            jump_agreeing: 3,
            seen_bytes: 1_344,
            noise_slow: 2.0,
            noise_fast: 2.5,
            gate: 13.8,
            gate_rejections: 3,
            gap_millis: 120_000,
            moving_mps: 0.5,
            arrived_m: 50.0,
            approaching_m: 150.0,
            left_m: 25.0,
            zone_m: 100.0,
            confirming_fixes: 2,
            confirming_millis: 10_000,
            zone_millis: 60_000,
            passing_mps: 5.0,
            stale_millis: 30_000,
            offline_millis: 120_000,
            unknown_millis: 600_000,
            detour: 1.35,
            speed_default_mps: 30.0 / 3.6,
            speed_min_mps: 4.0,
            speed_max_mps: 12.0,
            speed_memory_millis: 120_000,
            handover_millis: 120_000,
            eta_step_millis: 60_000,
            eta_hold_millis: 30_000,
            off_line_m: 60.0,
            reroute_after_millis: 60_000,
            reroute_pause_millis: 10_000,
            line_points: 32,
            show_min_millis: 1_000,
            show_max_millis: 10_000,
            trail_error_m: 5.0,
            privacy_m: 150.0,
            stand_millis: 30_000,
            area_precision: 6,
            offers_max: 5,
        }
    }
}
