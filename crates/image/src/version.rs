//! Image versions: `major.minor.revision+build`.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

/// The version in an image header. MCUboot image format, `struct image_version`.
///
/// The derived order looks at the build number last. Loaders that ignore it, as MCUboot does unless told otherwise,
/// compare with [`Version::cmp_ignoring_build`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major number.
    pub major: u8,
    /// Minor number.
    pub minor: u8,
    /// Revision.
    pub revision: u16,
    /// Build number.
    pub build: u32,
}

impl Version {
    /// A version from its four numbers.
    #[must_use]
    pub const fn new(major: u8, minor: u8, revision: u16, build: u32) -> Self {
        Self { major, minor, revision, build }
    }

    /// The order of two versions that differ in more than their build number; `Equal` otherwise.
    #[must_use]
    pub fn cmp_ignoring_build(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.revision).cmp(&(other.major, other.minor, other.revision))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}+{}", self.major, self.minor, self.revision, self.build)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `major[.minor[.revision[+build]]]` in decimal without leading zeros, as imgtool does.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (numbers, build) = match text.split_once('+') {
            Some((numbers, build)) => (numbers, Some(build)),
            None => (text, None),
        };
        let mut parts = numbers.split('.');
        let major = number(parts.next().unwrap_or_default(), Part::Major)?;
        let minor = parts.next().map_or(Ok(0), |text| number(text, Part::Minor))?;
        let revision = parts.next();
        if parts.next().is_some() {
            return Err(VersionError::TooManyParts);
        }
        if build.is_some() && revision.is_none() {
            return Err(VersionError::BuildWithoutRevision);
        }
        Ok(Self {
            major,
            minor,
            revision: revision.map_or(Ok(0), |text| number(text, Part::Revision))?,
            build: build.map_or(Ok(0), |text| number(text, Part::Build))?,
        })
    }
}

/// Which of the four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Major, 0 to 255.
    Major,
    /// Minor, 0 to 255.
    Minor,
    /// Revision, 0 to 65535.
    Revision,
    /// Build, 0 to 4294967295.
    Build,
}

impl Part {
    const fn max(self) -> u32 {
        match self {
            Self::Major | Self::Minor => 0xff,
            Self::Revision => 0xffff,
            Self::Build => u32::MAX,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Major => "major number",
            Self::Minor => "minor number",
            Self::Revision => "revision",
            Self::Build => "build number",
        })
    }
}

/// Why a text is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// A part is missing or holds something else than digits.
    #[error("the {0} is not a decimal number; a version looks like 1.2.3 or 1.2.3+4")]
    NotANumber(Part),
    /// A part starts with a needless zero.
    #[error("the {0} has a leading zero; a version looks like 1.2.3 or 1.2.3+4")]
    LeadingZero(Part),
    /// A part does not fit its field in the header.
    #[error("the {0} is larger than {max}, the most an image header can hold", max = .0.max())]
    TooLarge(Part),
    /// More than three numbers before the build number.
    #[error("there are more than three numbers; the build number follows a plus sign, as in 1.2.3+4")]
    TooManyParts,
    /// A build number after less than three numbers.
    #[error("a build number needs major, minor and revision before it, as in 1.2.3+4")]
    BuildWithoutRevision,
}

fn number<T: TryFrom<u32>>(text: &str, part: Part) -> Result<T, VersionError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VersionError::NotANumber(part));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(VersionError::LeadingZero(part));
    }
    let value: u32 = text.parse().map_err(|_| VersionError::TooLarge(part))?;
    T::try_from(value).map_err(|_| VersionError::TooLarge(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_imgtool_accepts_is_read_and_printed_whole() {
        for (text, version, shown) in [
            ("1", Version::new(1, 0, 0, 0), "1.0.0+0"),
            ("1.2", Version::new(1, 2, 0, 0), "1.2.0+0"),
            ("1.2.3", Version::new(1, 2, 3, 0), "1.2.3+0"),
            ("255.255.65535+4294967295", Version::new(255, 255, 65535, u32::MAX), "255.255.65535+4294967295"),
        ] {
            assert_eq!(text.parse(), Ok(version));
            assert_eq!(version.to_string(), shown);
            assert_eq!(shown.parse(), Ok(version));
        }
    }

    #[test]
    fn what_is_no_version_is_refused_with_the_part_that_is_wrong() {
        let refused = |text: &str| text.parse::<Version>().unwrap_err().to_string();
        insta::assert_snapshot!(refused(""), @"the major number is not a decimal number; a version looks like 1.2.3 or 1.2.3+4");
        insta::assert_snapshot!(refused("1.-2"), @"the minor number is not a decimal number; a version looks like 1.2.3 or 1.2.3+4");
        insta::assert_snapshot!(refused("1.2.03"), @"the revision has a leading zero; a version looks like 1.2.3 or 1.2.3+4");
        insta::assert_snapshot!(refused("256"), @"the major number is larger than 255, the most an image header can hold");
        insta::assert_snapshot!(refused("1.2.65536"), @"the revision is larger than 65535, the most an image header can hold");
        insta::assert_snapshot!(refused("1.2.3+4294967296"), @"the build number is larger than 4294967295, the most an image header can hold");
        insta::assert_snapshot!(refused("1.2.3.4"), @"there are more than three numbers; the build number follows a plus sign, as in 1.2.3+4");
        insta::assert_snapshot!(refused("1.2+4"), @"a build number needs major, minor and revision before it, as in 1.2.3+4");
    }

    #[test]
    fn the_build_number_orders_last_or_not_at_all() {
        let (old, new) = (Version::new(1, 0, 0, 0), Version::new(1, 0, 0, 9));
        assert!(old < new);
        assert_eq!(old.cmp_ignoring_build(&new), Ordering::Equal);
        assert_eq!(Version::new(1, 0, 1, 0).cmp_ignoring_build(&new), Ordering::Greater);
    }
}
