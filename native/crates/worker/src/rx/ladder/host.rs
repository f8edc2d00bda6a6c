//! The counters of the host below the receive paths, from the kernel: by netlink, and from the
//! files that it shows them in.

use std::fs;
use std::path::{Path, PathBuf};

use tickdeck_net::{Interface, LinkLosses, LinkStats};

use super::{Count, Layer};
use crate::exit::chain;

/// How many they are.
const HOST_LEN: usize = 9;

/// A reading of all of them, and what could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rx) struct HostCounts {
    pub(in crate::rx) counts: [Count; HOST_LEN],
    /// Layers of which something could not be read, and why.
    pub(in crate::rx) errors: Vec<(Layer, String)>,
}

/// Reads them. System calls, some tens of microseconds: not for the receive thread.
pub(in crate::rx) struct HostReader {
    root: PathBuf,
    /// Each interface once.
    interfaces: Vec<Interface>,
    links: Result<LinkStats, String>,
}

impl HostReader {
    /// For these interfaces of the caller's network namespace.
    pub(in crate::rx) fn new(mut interfaces: Vec<Interface>) -> Self {
        interfaces.sort_by_key(|interface| interface.index);
        interfaces.dedup_by_key(|interface| interface.index);
        Self {
            root: PathBuf::from("/"),
            interfaces,
            links: LinkStats::open().map_err(|error| chain(&error)),
        }
    }

    /// A reading. What cannot be read is `None` with the reason beside it, never 0.
    pub(in crate::rx) fn read(&mut self) -> HostCounts {
        let mut errors = Vec::new();
        let nic = noted(Layer::Nic, self.nic(), &mut errors);
        let softnet = self
            .file("proc/net/softnet_stat")
            .and_then(|text| softnet(&text));
        let [dropped, squeezed] = spread(noted(Layer::Softnet, softnet, &mut errors));
        let udp = self
            .file("proc/net/snmp")
            .and_then(|text| udp_errors(&text));
        let [no_room, checksum] = spread(noted(Layer::Socket, udp, &mut errors));
        let of_nic = |counter, value: fn(&LinkLosses) -> u64| {
            Count::loss(Layer::Nic, counter, "packets", nic.as_ref().map(value))
        };
        let counts = [
            of_nic("rx_dropped", |nic| nic.rx_dropped),
            of_nic("rx_missed_errors", |nic| nic.rx_missed_errors),
            of_nic("rx_fifo_errors", |nic| nic.rx_fifo_errors),
            of_nic("rx_over_errors", |nic| nic.rx_over_errors),
            of_nic("rx_crc_errors", |nic| nic.rx_crc_errors),
            Count::loss(Layer::Softnet, "dropped", "packets", dropped),
            Count::info(Layer::Softnet, "time_squeeze", "times", squeezed),
            // Of all sockets of the host; those of the lines count for themselves.
            Count::info(Layer::Socket, "host_rcvbuf_errors", "packets", no_room),
            Count::info(Layer::Socket, "host_checksum_errors", "packets", checksum),
        ];
        HostCounts { counts, errors }
    }

    /// The sums over the interfaces.
    fn nic(&mut self) -> Result<LinkLosses, String> {
        let links = self.links.as_mut().map_err(|error| error.clone())?;
        let mut sum = LinkLosses::default();
        for Interface { name, index, .. } in &self.interfaces {
            let one = links.read(*index);
            let one = one.map_err(|error| format!("interface {name}: {}", chain(&error)))?;
            sum.rx_dropped += one.rx_dropped;
            sum.rx_missed_errors += one.rx_missed_errors;
            sum.rx_fifo_errors += one.rx_fifo_errors;
            sum.rx_over_errors += one.rx_over_errors;
            sum.rx_crc_errors += one.rx_crc_errors;
        }
        Ok(sum)
    }

    fn file(&self, path: impl AsRef<Path>) -> Result<String, String> {
        let path = self.root.join(path);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The value, or `None` with the reason noted.
fn noted<T>(layer: Layer, read: Result<T, String>, errors: &mut Vec<(Layer, String)>) -> Option<T> {
    read.inspect_err(|error| errors.push((layer, error.clone())))
        .ok()
}

fn spread(pair: Option<[u64; 2]>) -> [Option<u64>; 2] {
    pair.map_or([None; 2], |pair| pair.map(Some))
}

/// Dropped and time-squeezed, summed over the cores: the second and third column of each line, in
/// hexadecimal and of 32 bits.
fn softnet(text: &str) -> Result<[u64; 2], String> {
    let mut sums = [0_u64; 2];
    for line in text.lines() {
        let mut columns = line.split_ascii_whitespace().skip(1);
        for sum in &mut sums {
            let column = columns
                .next()
                .and_then(|hex| u64::from_str_radix(hex, 16).ok());
            *sum += column.ok_or_else(|| format!("/proc/net/softnet_stat: line {line:?}"))?;
        }
    }
    if text.is_empty() {
        return Err("/proc/net/softnet_stat: empty".to_owned());
    }
    Ok(sums)
}

/// RcvbufErrors and InCsumErrors of the pair of lines "Udp:", names above values.
fn udp_errors(text: &str) -> Result<[u64; 2], String> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let of = |wanted: &str| {
        let mut pairs = names
            .split_ascii_whitespace()
            .zip(values.split_ascii_whitespace());
        let value = pairs
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value);
        value
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| format!("/proc/net/snmp: no {wanted} of Udp"))
    };
    Ok([of("RcvbufErrors")?, of("InCsumErrors")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn reader(root: &Path, interfaces: Vec<Interface>) -> HostReader {
        HostReader {
            root: root.to_owned(),
            ..HostReader::new(interfaces)
        }
    }

    /// Columns are summed over the cores; those of UDP are found by their names.
    #[test]
    fn counters_are_summed() {
        let root = tempfile::tempdir().expect("temporary directory");
        let cores = "0000ffff 00000010 00000001 0 0\n0000ffff 0000000f 00000002 0 0\n";
        write(root.path(), "proc/net/softnet_stat", cores);
        let udp = "Udp: InDatagrams RcvbufErrors InCsumErrors\nUdp: 9 7 8\n";
        write(
            root.path(),
            "proc/net/snmp",
            &format!("Ip: A\nIp: 1\n{udp}UdpLite: B\n"),
        );
        let counts = reader(root.path(), Vec::new()).read();
        assert_eq!(counts.errors, []);
        let values = counts.counts.map(|count| count.value.expect("read"));
        assert_eq!(values, [0, 0, 0, 0, 0, 31, 3, 7, 8]);
    }

    /// What cannot be read is not 0: it is absent, and the reason names the place.
    #[test]
    fn unreadable_is_not_zero() {
        let root = tempfile::tempdir().expect("temporary directory");
        write(root.path(), "proc/net/softnet_stat", "0000ffff zz 0\n");
        write(root.path(), "proc/net/snmp", "Udp: InDatagrams\nUdp: 9\n");
        let gone = Interface {
            name: "gone0".into(),
            index: u32::MAX / 2,
            ipv4: None,
        };
        let counts = reader(root.path(), vec![gone]).read();
        assert!(counts.counts.iter().all(|count| count.value.is_none()));
        let text = format!("{:?}", counts.errors);
        for words in [
            "interface gone0: cannot read an interface's counters",
            "line",
            "no RcvbufErrors of Udp",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    /// The counters of this host can be read, an interface of two lines once.
    #[test]
    fn this_host_is_readable() {
        let loopback = tickdeck_net::find_interface("lo").expect("the loopback interface");
        let mut reader = HostReader::new(vec![loopback.clone(), loopback]);
        assert_eq!(reader.interfaces.len(), 1);
        let counts = reader.read();
        assert_eq!(counts.errors, []);
        assert!(counts.counts.iter().all(|count| count.value.is_some()));
    }
}
