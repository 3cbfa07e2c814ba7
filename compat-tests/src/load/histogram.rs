//! Latencies in logarithmic buckets of equal relative width, like HdrHistogram's.

/// Linear buckets in each power of two: a value is known to within 1/128 of itself.
const SUB_BITS: u32 = 7;
const SUB_BUCKETS: u64 = 1 << SUB_BITS;
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) << SUB_BITS;

/// Counts of values, in nanoseconds. Recording costs a shift and an increment.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    /// How many values were recorded.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest value, exactly.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, exactly; 0 when nothing was recorded.
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(u128::from(self.total)).unwrap_or(0) as u64
    }

    /// The smallest recorded value that `quantile` (0 to 1) of all values do not exceed, rounded up to
    /// its bucket's end and never beyond the maximum; 0 when nothing was recorded.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((self.total as f64 * quantile).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return bucket_end(index).min(self.max);
            }
        }
        self.max
    }
}

/// Values below two times `SUB_BUCKETS` have a bucket each; above, each power of two has `SUB_BUCKETS`.
fn bucket(nanos: u64) -> usize {
    let shift = (63 - (nanos | SUB_BUCKETS).leading_zeros()) - SUB_BITS;
    ((u64::from(shift) << SUB_BITS) + (nanos >> shift)) as usize
}

/// The largest value that falls into a bucket.
fn bucket_end(index: usize) -> u64 {
    let index = index as u64;
    if index < SUB_BUCKETS {
        return index;
    }
    let shift = (index >> SUB_BITS) - 1;
    let start = (index - (shift << SUB_BITS)) << shift;
    start + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_narrow() {
        let mut previous = None;
        for index in 0..BUCKETS - SUB_BUCKETS as usize {
            let end = bucket_end(index);
            assert_eq!(bucket(end), index, "the end of bucket {index} lies in it");
            if let Some(previous) = previous {
                assert_eq!(bucket(previous + 1), index, "bucket {index} starts where the last one ended");
                assert!((end - previous) as f64 <= 1.0 + end as f64 / SUB_BUCKETS as f64);
            }
            previous = Some(end);
        }
    }

    #[test]
    fn the_largest_value_has_a_bucket() {
        let mut histogram = Histogram::default();
        histogram.record(u64::MAX);
        assert_eq!(histogram.quantile(0.5), u64::MAX);
    }

    #[test]
    fn quantiles_of_a_uniform_run() {
        let mut histogram = Histogram::default();
        (1..=100_000).for_each(|value| histogram.record(value * 1000));
        for (quantile, exact) in [(0.5, 50_000_000.0), (0.99, 99_000_000.0), (0.999, 99_900_000.0)] {
            let error = histogram.quantile(quantile) as f64 / exact - 1.0;
            assert!((0.0..1.0 / 127.0).contains(&error), "quantile {quantile} is off by {error}");
        }
        assert_eq!(histogram.max(), 100_000_000);
        assert_eq!(histogram.quantile(1.0), 100_000_000);
        assert_eq!(histogram.mean(), 50_000_500);
    }

    #[test]
    fn one_outlier_in_a_thousand_shows_only_beyond_p999() {
        let mut histogram = Histogram::default();
        (0..999).for_each(|_| histogram.record(100));
        histogram.record(1_000_000);
        assert_eq!(histogram.quantile(0.99), 100);
        assert_eq!(histogram.quantile(0.999), 100);
        assert_eq!(histogram.quantile(0.9991), 1_000_000);
    }

    #[test]
    fn an_empty_histogram_answers_zero() {
        let histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.mean(), histogram.total()), (0, 0, 0));
    }
}
