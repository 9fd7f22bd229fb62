//! How long a call of the ingest may take. The server gives up before the client does, or it would work in vain; the client
//! gives up long before Kafka hands this consumer's partitions to another (`max.poll.interval.ms`).

use std::time::Duration;

/// One transaction, the way to a new connection included. What takes longer counts as lost, with its connection.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(8);
pub(super) const SERVER_LIMITS: [(&str, &str); 2] =
    [("statement_timeout", "6s"), ("lock_timeout", "3s")];
