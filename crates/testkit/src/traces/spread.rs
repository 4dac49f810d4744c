//! How far off a set of answers is.

/// Values in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spread {
    sorted: Vec<f64>,
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }
}

impl Spread {
    /// How many.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The value that a share (0 to 1) of them does not exceed; not a number, if there is none.
    pub fn at(&self, share: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// Half are less.
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// 95 % are less.
    pub fn p95(&self) -> f64 {
        self.at(0.95)
    }

    /// The greatest.
    pub fn most(&self) -> f64 {
        self.at(1.0)
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.sorted.len() as f64
    }

    /// The root of the mean of their squares.
    pub fn rms(&self) -> f64 {
        (self.sorted.iter().map(|value| value * value).sum::<f64>() / self.sorted.len() as f64).sqrt()
    }

    /// Share of those that are at most this far from zero.
    pub fn within(&self, bound: f64) -> f64 {
        self.sorted.iter().filter(|value| value.abs() <= bound).count() as f64 / self.sorted.len() as f64
    }
}
