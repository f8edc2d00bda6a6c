use super::control::Control;
use crate::Stamp;

/// Receive time of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamped {
    /// UTC nanoseconds.
    pub(crate) rx_ns: u64,
    pub(crate) stamp: Stamp,
    /// The card gave a time that is no UTC.
    pub(crate) is_hardware_refused: bool,
}

/// Takes the best time that a datagram really has: the card's, the kernel's, or `user_ns`.
///
/// The card's clock counts what it was set to: UTC if something disciplines it so, else TAI (37 s
/// ahead) or the time since power-on. Latencies are differences to UTC, so it is believed only if it
/// agrees with this host's UTC within [`HARDWARE_TOLERANCE_NS`]. A time that does not is refused,
/// whole: it is neither corrected nor labelled hardware.
#[inline]
pub(crate) fn stamp(control: &Control, user_ns: impl FnOnce() -> u64) -> Stamped {
    let Some(hardware_ns) = control.hardware_ns else {
        return match control.kernel_ns {
            Some(rx_ns) => stamped(rx_ns, Stamp::Kernel),
            None => stamped(user_ns(), Stamp::User),
        };
    };
    let (host_ns, stamp) = match control.kernel_ns {
        Some(kernel_ns) => (kernel_ns, Stamp::Kernel),
        None => (user_ns(), Stamp::User),
    };
    if hardware_ns.abs_diff(host_ns) <= HARDWARE_TOLERANCE_NS {
        return stamped(hardware_ns, Stamp::Hardware);
    }
    Stamped {
        is_hardware_refused: true,
        ..stamped(host_ns, stamp)
    }
}

/// How far the card's clock may be from this host's UTC: wider than any disciplined clock strays,
/// closer than TAI is.
const HARDWARE_TOLERANCE_NS: u64 = 1_000_000_000;

fn stamped(rx_ns: u64, stamp: Stamp) -> Stamped {
    Stamped {
        rx_ns,
        stamp,
        is_hardware_refused: false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Control, HARDWARE_TOLERANCE_NS, Stamped, stamp, stamped};
    use crate::Stamp;

    const NOW_NS: u64 = 1_800_000_000_000_000_000;

    /// Each source is labelled as what it is, the best one that is present is taken, and the clock
    /// is read only when nothing else is there.
    #[test]
    fn the_best_time_present_is_taken() {
        let unread = || unreachable!("the clock is not needed");
        let with = |hardware_ns, kernel_ns| Control {
            hardware_ns,
            kernel_ns,
            drops: None,
        };
        let both = with(Some(NOW_NS - 900), Some(NOW_NS));
        assert_eq!(stamp(&both, unread), stamped(NOW_NS - 900, Stamp::Hardware));
        let kernel = with(None, Some(NOW_NS));
        assert_eq!(stamp(&kernel, unread), stamped(NOW_NS, Stamp::Kernel));
        let hardware = with(Some(NOW_NS + 5), None);
        assert_eq!(
            stamp(&hardware, || NOW_NS),
            stamped(NOW_NS + 5, Stamp::Hardware)
        );
        let none = with(None, None);
        assert_eq!(stamp(&none, || NOW_NS), stamped(NOW_NS, Stamp::User));
    }

    /// A card's time of TAI, of power-on, or just beyond the tolerance on either side is refused;
    /// the label is that of the time taken instead.
    #[test]
    fn a_hardware_time_that_is_no_utc_is_refused() {
        let limit = HARDWARE_TOLERANCE_NS;
        let wrong = [
            NOW_NS + 37 * 1_000_000_000,
            55,
            NOW_NS - limit - 1,
            NOW_NS + limit + 1,
        ];
        for (hardware_ns, has_kernel) in wrong.into_iter().flat_map(|ns| [(ns, true), (ns, false)])
        {
            let control = Control {
                hardware_ns: Some(hardware_ns),
                kernel_ns: has_kernel.then_some(NOW_NS),
                drops: None,
            };
            let expected = Stamped {
                rx_ns: NOW_NS,
                stamp: if has_kernel {
                    Stamp::Kernel
                } else {
                    Stamp::User
                },
                is_hardware_refused: true,
            };
            assert_eq!(stamp(&control, || NOW_NS), expected, "{control:?}");
        }
        for hardware_ns in [NOW_NS - limit, NOW_NS + limit] {
            let control = Control {
                hardware_ns: Some(hardware_ns),
                kernel_ns: Some(NOW_NS),
                drops: None,
            };
            assert_eq!(stamp(&control, || 0), stamped(hardware_ns, Stamp::Hardware));
        }
    }
}
