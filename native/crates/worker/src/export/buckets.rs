//! How many connections one address may begin: a bucket of tokens each.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Connections of one address: so many at once, and so many in a second.
const BUCKET_BURST: u64 = 20;
const BUCKET_PER_S: u64 = 5;
/// Addresses that are remembered; a flood from more than these is bounded by the slots.
const BUCKETS: usize = 4_096;

/// Tokens per [`origin`].
#[derive(Debug, Default)]
pub(crate) struct Buckets(BTreeMap<IpAddr, Bucket>);

/// Time at which the bucket is full again: one number says it all.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_ns: u64,
}

impl Buckets {
    /// Takes a token, if there is one.
    pub(crate) fn admit(&mut self, now_ns: u64, mut ip: IpAddr) -> bool {
        const TOKEN_NS: u64 = 1_000_000_000 / BUCKET_PER_S;
        if self.0.len() >= BUCKETS && !self.0.contains_key(&ip) {
            self.0.retain(|_, bucket| bucket.full_ns > now_ns);
            if self.0.len() >= BUCKETS {
                // Strangers share one bucket, which may be one beyond the bound.
                ip = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            }
        }
        let bucket = self.0.entry(ip).or_insert(Bucket { full_ns: now_ns });
        let full_ns = bucket.full_ns.max(now_ns) + TOKEN_NS;
        if full_ns - now_ns > BUCKET_BURST * TOKEN_NS {
            return false;
        }
        bucket.full_ns = full_ns;
        true
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, whose every address one host may have.
pub(crate) fn origin(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty at once, then five in a second; others are not touched, and memory is bounded.
    #[test]
    fn buckets_are_per_address() {
        let mut buckets = Buckets::default();
        let ip = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(0x7F00_0000 + n));
        let second = 1_000_000_000;
        let admitted = |buckets: &mut Buckets, now_ns| {
            (0..100).filter(|_| buckets.admit(now_ns, ip(1))).count()
        };
        assert_eq!(admitted(&mut buckets, second), 20);
        assert_eq!(admitted(&mut buckets, 2 * second), 5);
        assert!(buckets.admit(2 * second, ip(2)));
        assert_eq!(admitted(&mut buckets, 60 * second), 20);
        // The last ones find no place: they share one bucket.
        let strangers = 10..10 + u32::try_from(BUCKETS).expect("small") + 200;
        let others = strangers.filter(|n| buckets.admit(60 * second, ip(*n)));
        assert_eq!(others.count(), BUCKETS - 1 + 20);
        assert!(buckets.0.len() <= BUCKETS + 1);
    }

    /// A host that changes the low half of its IPv6 address stays one; IPv4 in IPv6 is IPv4.
    #[test]
    fn a_network_is_one_origin() {
        let of = |text: &str| origin(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
