//! Values with units, as people write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A number of bytes: `1MB` (a million), `20GiB`, `4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

impl FromStr for ByteCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size: ByteSize = text
            .trim()
            .parse()
            .map_err(|_| format!("`{text}` is not a size such as 1MB, 20GiB or 4096"))?;
        Ok(Self(size.as_u64()))
    }
}

/// An amount of memory: a share of what this machine, or its container, has (`25%`), or a size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MemoryShare {
    /// Percent of the memory there is, above 0 and at most 100.
    Percent(f64),
    /// That many bytes.
    Bytes(ByteCount),
}

impl MemoryShare {
    /// In bytes, on this machine: the smaller of its memory and the control group's limit counts.
    pub fn resolve(self) -> u64 {
        match self {
            Self::Bytes(ByteCount(bytes)) => bytes,
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of memory need not be exact"
            )]
            Self::Percent(percent) => (total_memory() as f64 * percent / 100.0) as u64,
        }
    }
}

fn total_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let total = system.total_memory();
    system.cgroup_limits().map_or(total, |limits| limits.total_memory.min(total))
}

impl FromStr for MemoryShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(percent) = text.trim().strip_suffix('%') else {
            return text
                .parse()
                .map(Self::Bytes)
                .map_err(|_: String| format!("`{text}` is not an amount of memory such as 25% or 4GiB"));
        };
        match percent.trim().parse::<f64>() {
            Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self::Percent(percent)),
            _ => Err(format!("`{text}` is not a share above 0% and up to 100%")),
        }
    }
}

/// `ADDRESS:PORT`; `localhost` is 127.0.0.1, port 0 a free port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddr(pub SocketAddr);

impl ListenAddr {
    /// 127.0.0.1 with this port.
    pub const fn loopback(port: u16) -> Self {
        Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numeric = text
            .strip_prefix("localhost:")
            .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        numeric
            .parse()
            .map(Self)
            .map_err(|_| format!("`{text}` is not an address and port such as 127.0.0.1:32010"))
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer, "a size such as 1MB, 20GiB or 4096")
    }
}

impl<'de> Deserialize<'de> for MemoryShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer, "an amount of memory such as 25% or 4GiB")
    }
}

impl<'de> Deserialize<'de> for ListenAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer, "an address and port such as 127.0.0.1:32010")
    }
}

/// A duration such as `10s`, `1h 30m` or `500ms`; never a bare number.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Period(Duration);
    impl FromStr for Period {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, Self::Err> {
            match humantime::parse_duration(text) {
                Ok(duration) if !duration.is_zero() => Ok(Self(duration)),
                Ok(_) => Err("a duration must be longer than 0".to_owned()),
                Err(error) => Err(format!("`{text}` is not a duration such as 10m, 30s or 500ms: {error}")),
            }
        }
    }
    deserialize_text(deserializer, "a duration with its unit, such as 10m, 30s or 500ms").map(|Period(duration)| duration)
}

/// The same, where nothing said is none.
pub(super) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// Text, or a whole number taken as its digits, handed to `FromStr`.
fn deserialize_text<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err = String>,
    D: Deserializer<'de>,
{
    struct Text<T>(&'static str, std::marker::PhantomData<T>);
    impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }
    deserializer.deserialize_any(Text(expected, std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!("20GiB".parse(), Ok(ByteCount(21_474_836_480)));
        assert_eq!("1MB".parse(), Ok(ByteCount(1_000_000)));
        assert_eq!("4096".parse(), Ok(ByteCount(4096)));
        assert!("lots".parse::<ByteCount>().is_err());
        assert!("-1".parse::<ByteCount>().is_err());
    }

    #[test]
    fn memory() {
        assert_eq!("25%".parse(), Ok(MemoryShare::Percent(25.0)));
        assert_eq!("4GiB".parse(), Ok(MemoryShare::Bytes(ByteCount(4_294_967_296))));
        assert!("0%".parse::<MemoryShare>().is_err());
        assert!("101%".parse::<MemoryShare>().is_err());
        assert!("x%".parse::<MemoryShare>().is_err());
        let (quarter, half) = (MemoryShare::Percent(25.0).resolve(), MemoryShare::Percent(50.0).resolve());
        assert!(quarter > 16 << 20, "a quarter of this machine is {quarter} bytes");
        assert!(half.abs_diff(2 * quarter) <= 2, "{half} is not twice {quarter}");
    }

    #[test]
    fn addresses() {
        assert_eq!("localhost:1".parse(), Ok(ListenAddr::loopback(1)));
        assert_eq!("[::1]:2".parse::<ListenAddr>().unwrap().to_string(), "[::1]:2");
        assert!("example.org:1".parse::<ListenAddr>().is_err());
        assert!("127.0.0.1".parse::<ListenAddr>().is_err());
    }
}
