//! Durations in buckets whose width is under 1.6 % of their value.

use std::time::Duration;

/// Buckets for one power of two.
const STEPS: u64 = 64;

/// Counts of durations in nanoseconds; adding one costs a few instructions, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, duration: Duration) {
        let bucket = bucket(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The duration which `part` of all are not above, in microseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut left = part * self.count as f64;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            left -= count as f64;
            if count > 0 && left <= 0.0 {
                return value(bucket) as f64 / 1000.0;
            }
        }
        0.0
    }
}

fn bucket(nanos: u64) -> usize {
    let bucket = if nanos < STEPS {
        nanos
    } else {
        let shift = u64::from(nanos.ilog2()) - u64::from(STEPS.ilog2());
        (shift + 1) * STEPS + ((nanos >> shift) - STEPS)
    };
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// Upper end of a bucket.
fn value(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((bucket % STEPS + STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_bucket_that_bounds_it() {
        for nanos in (0..10_000).chain([65_535, 65_536, 1_000_000_007, u64::from(u32::MAX)]) {
            let upper = value(bucket(nanos));
            assert!(upper >= nanos, "{nanos} is above {upper}");
            assert!(upper - nanos <= nanos / 64, "{nanos} is far below {upper}");
        }
    }

    #[test]
    fn quantiles_of_a_known_series() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.add(Duration::from_micros(micros));
        }
        for (part, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got = histogram.quantile(part);
            assert!((got - expected).abs() <= expected * 0.016, "{part}: {got}");
        }
        assert!(Histogram::default().quantile(0.5) < f64::MIN_POSITIVE);
    }
}
