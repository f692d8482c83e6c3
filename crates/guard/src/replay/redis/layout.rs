//! Keys of the replay log in Redis.
//!
//! ```text
//! NAME:{P}:RECORD         one record; ends by itself; no value
//! NAME:{P}:run:RUN        one run of the server that holds partition P: when it began, and
//!                         a random number. Gone when the records of the partition are gone
//! NAME:{0}:secret         the secret records are hashed under
//! NAME:{0}:replicated     the store was seen with replicas
//! ```
//!
//! One server has one partition, a cluster 64. The braces make all keys of a
//! partition hash to one slot, so a record and the mark of its run are always on
//! the same server and move together.

use crate::replay::shared::store::StoreError;

/// Partitions in a cluster.
pub(super) const CLUSTER_PARTITIONS: usize = 64;

/// Where a partition's keys are, of 16384 slots.
pub(super) fn slot(partition: usize) -> u16 {
    crc16(partition.to_string().as_bytes()) % 16_384
}

/// The partition of a record.
pub(super) fn partition(key: u128, partitions: usize) -> usize {
    let low = usize::try_from(key & 0xffff).unwrap_or_default();
    low.checked_rem(partitions).unwrap_or_default()
}

/// Names of keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    name: String,
}

impl Keys {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    pub(super) fn record(&self, partition: usize, key: u128) -> String {
        let key = keybound_proto::base64url::encode(&key.to_be_bytes());
        format!("{}:{{{partition}}}:{key}", self.name)
    }

    pub(super) fn run(&self, partition: usize, run: &str) -> String {
        format!("{}:{{{partition}}}:run:{run}", self.name)
    }

    pub(super) fn secret(&self) -> String {
        format!("{}:{{0}}:secret", self.name)
    }

    pub(super) fn replicated(&self) -> String {
        format!("{}:{{0}}:replicated", self.name)
    }
}

/// The value of a run's mark: when it was made, by the server's clock, and a
/// random number that no other mark has.
pub(super) fn mark(now: u64, random: &[u8; 32]) -> String {
    format!("{now}.{}", keybound_proto::base64url::encode(random))
}

/// When a mark was made.
pub(super) fn mark_time(mark: &[u8]) -> Result<u64, StoreError> {
    let text = str::from_utf8(mark)
        .ok()
        .and_then(|mark| mark.split_once('.'));
    text.and_then(|(time, _)| time.parse().ok()).ok_or_else(|| {
        StoreError::Unfit(String::from("somebody else writes under this log's name"))
    })
}

/// CRC-16/XMODEM, by which a cluster finds the slot of a key.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        // The check value of CRC-16/XMODEM, and keys whose slots servers report.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b"foo") % 16_384, 12_182);
        assert_eq!(slot(0), crc16(b"0") % 16_384);
    }

    /// SC-094: nodes of two releases share a log during a rolling upgrade.
    #[test]
    fn sc_094_names_of_records_do_not_change() {
        let keys = Keys::new("keybound_replay");
        let record = keys.record(7, 1);
        assert_eq!(record, "keybound_replay:{7}:AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(keys.secret(), "keybound_replay:{0}:secret");
        assert_eq!((partition(0x1234_0047, 64), partition(71, 1)), (7, 0));
    }

    #[test]
    fn partitions_spread_over_the_slots() {
        let mut thirds = [0_usize; 3];
        for partition in 0..CLUSTER_PARTITIONS {
            thirds[usize::from(slot(partition)) * 3 / 16_384] += 1;
        }
        assert!(thirds.iter().all(|count| *count >= 12), "{thirds:?}");
    }

    #[test]
    fn records_spread_over_partitions() {
        let mut counts = [0_usize; CLUSTER_PARTITIONS];
        for key in 0..6_400_u128 {
            counts[partition(key, CLUSTER_PARTITIONS)] += 1;
        }
        assert!(counts.iter().all(|count| *count == 100));
        assert_eq!(partition(u128::MAX, 1), 0);
    }

    #[test]
    fn mark_names_its_time() {
        assert_eq!(mark_time(mark(17, &[3; 32]).as_bytes()), Ok(17));
        for foreign in [&b""[..], b"17", b"x.y", b"\xff.1"] {
            assert!(mark_time(foreign).is_err());
        }
    }
}
