//! The counters of the host below the receive paths, from the files that the kernel shows them in.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Count, Layer};

/// How many they are.
const HOST_LEN: usize = 8;

/// A reading of all of them, and what could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rx) struct HostCounts {
    pub(in crate::rx) counts: [Count; HOST_LEN],
    /// Layers of which something could not be read, and why.
    pub(in crate::rx) errors: Vec<(Layer, String)>,
}

/// Reads them. File reads, some tens of microseconds: not for the receive thread.
pub(in crate::rx) struct HostReader {
    root: PathBuf,
    interfaces: Vec<String>,
}

impl HostReader {
    /// For these interfaces; each is counted once.
    pub(in crate::rx) fn new(mut interfaces: Vec<String>) -> Self {
        interfaces.sort();
        interfaces.dedup();
        Self {
            root: PathBuf::from("/"),
            interfaces,
        }
    }

    /// A reading. What cannot be read is `None` with the reason beside it, never 0.
    pub(in crate::rx) fn read(&self) -> HostCounts {
        let mut errors = Vec::new();
        let nic = NIC_COUNTERS.map(|name| noted(Layer::Nic, self.nic(name), &mut errors));
        let softnet = self
            .file("proc/net/softnet_stat")
            .and_then(|text| softnet(&text));
        let [dropped, squeezed] = spread(noted(Layer::Softnet, softnet, &mut errors));
        let udp = self
            .file("proc/net/snmp")
            .and_then(|text| udp_errors(&text));
        let [no_room, checksum] = spread(noted(Layer::Socket, udp, &mut errors));
        let [rx_dropped, missed, fifo, over] = nic;
        let counts = [
            // Drops of the driver and, by the kernel, of the backlog and of protocols that nobody
            // on the host takes.
            Count::loss(Layer::Nic, "rx_dropped", "packets", rx_dropped),
            Count::loss(Layer::Nic, "rx_missed_errors", "packets", missed),
            Count::loss(Layer::Nic, "rx_fifo_errors", "packets", fifo),
            Count::loss(Layer::Nic, "rx_over_errors", "packets", over),
            Count::loss(Layer::Softnet, "dropped", "packets", dropped),
            Count::info(Layer::Softnet, "time_squeeze", "times", squeezed),
            // Of all sockets of the host; those of the lines count for themselves.
            Count::info(Layer::Socket, "host_rcvbuf_errors", "packets", no_room),
            Count::info(Layer::Socket, "host_checksum_errors", "packets", checksum),
        ];
        HostCounts { counts, errors }
    }

    /// The sum of a counter over the interfaces.
    fn nic(&self, name: &str) -> Result<u64, String> {
        let mut sum = 0_u64;
        for interface in &self.interfaces {
            let path = format!("sys/class/net/{interface}/statistics/{name}");
            let text = self.file(&path)?;
            let value: u64 = text
                .trim()
                .parse()
                .map_err(|_| format!("/{path}: {text:?}"))?;
            sum = sum.wrapping_add(value);
        }
        Ok(sum)
    }

    fn file(&self, path: impl AsRef<Path>) -> Result<String, String> {
        let path = self.root.join(path);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What counts as lost by a network card (`Documentation/networking/statistics.rst` of Linux).
const NIC_COUNTERS: [&str; 4] = [
    "rx_dropped",
    "rx_missed_errors",
    "rx_fifo_errors",
    "rx_over_errors",
];

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

    fn value(counts: &HostCounts, layer: Layer, counter: &str) -> Option<u64> {
        let mut all = counts.counts.iter();
        all.find(|count| count.layer == layer && count.counter == counter)?
            .value
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn reader(root: &Path) -> HostReader {
        HostReader {
            root: root.to_owned(),
            ..HostReader::new(vec!["eth1".into(), "eth0".into(), "eth1".into()])
        }
    }

    /// Counters are summed over interfaces and over cores, each interface once.
    #[test]
    fn counters_are_summed() {
        let root = tempfile::tempdir().expect("temporary directory");
        for (interface, scale) in [("eth0", 1), ("eth1", 10)] {
            for (name, value) in NIC_COUNTERS.iter().zip(1..) {
                let path = format!("sys/class/net/{interface}/statistics/{name}");
                write(root.path(), &path, &format!("{}\n", value * scale));
            }
        }
        let cores = "0000ffff 00000010 00000001 0 0\n0000ffff 0000000f 00000002 0 0\n";
        write(root.path(), "proc/net/softnet_stat", cores);
        let udp = "Udp: InDatagrams RcvbufErrors InCsumErrors\nUdp: 9 7 8\n";
        write(
            root.path(),
            "proc/net/snmp",
            &format!("Ip: A\nIp: 1\n{udp}UdpLite: B\n"),
        );
        let counts = reader(root.path()).read();
        assert_eq!(counts.errors, []);
        let values = counts.counts.map(|count| count.value.expect("read"));
        assert_eq!(values, [11, 22, 33, 44, 31, 3, 7, 8]);
    }

    /// What cannot be read is not 0: it is absent, and the reason names the file.
    #[test]
    fn unreadable_is_not_zero() {
        let root = tempfile::tempdir().expect("temporary directory");
        write(root.path(), "proc/net/softnet_stat", "0000ffff zz 0\n");
        write(root.path(), "proc/net/snmp", "Udp: InDatagrams\nUdp: 9\n");
        let counts = reader(root.path()).read();
        assert!(counts.counts.iter().all(|count| count.value.is_none()));
        let text = format!("{:?}", counts.errors);
        for words in [
            "eth0/statistics/rx_dropped: No such file",
            "line",
            "no RcvbufErrors of Udp",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    /// The files of this host can be read.
    #[test]
    fn this_host_is_readable() {
        let counts = HostReader::new(vec!["lo".into()]).read();
        assert_eq!(counts.errors, []);
        assert!(value(&counts, Layer::Softnet, "dropped").is_some());
    }
}
