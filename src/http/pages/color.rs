//! Colours that can be read: from the one colour a tenant names, those for a button, its label, its edge, and
//! for text in the light and the dark scheme, by the contrast ratio of WCAG 2.

/// The colour of a tenant that names none.
const USUAL: &str = "#1f5fd1";
/// Background of the card in the light scheme; the style sheet has the same.
const LIGHT: Rgb = Rgb(0xff, 0xff, 0xff);
/// The same in the dark one.
const DARK: Rgb = Rgb(0x1c, 0x1f, 0x24);
/// What text needs.
const TEXT: f64 = 4.5;
/// What the edge of a control needs.
const EDGE: f64 = 3.0;

/// Colours derived from a tenant's, each as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    /// The tenant's own: what buttons are filled with.
    pub fill: String,
    /// Label on it: black or white.
    pub on_fill: String,
    /// Edge of a button on a light card.
    pub edge_light: String,
    /// Edge of a button on a dark card.
    pub edge_dark: String,
    /// Text and signs on a light card.
    pub ink_light: String,
    /// Text and signs on a dark card.
    pub ink_dark: String,
}

impl Palette {
    /// The palette of a colour; of the usual one if there is none or it is no `#rrggbb`.
    #[must_use]
    pub fn of(color: Option<&str>) -> Self {
        let fill = color.and_then(Rgb::parse).or_else(|| Rgb::parse(USUAL)).unwrap_or(Rgb(0, 0, 0));
        let white = contrast(fill, Rgb(0xff, 0xff, 0xff)) >= TEXT;
        Self {
            fill: fill.hex(),
            on_fill: if white { Rgb(0xff, 0xff, 0xff) } else { Rgb(0, 0, 0) }.hex(),
            edge_light: fill.against(LIGHT, EDGE).hex(),
            edge_dark: fill.against(DARK, EDGE).hex(),
            ink_light: fill.against(LIGHT, TEXT).hex(),
            ink_dark: fill.against(DARK, TEXT).hex(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Rgb(u8, u8, u8);

impl Rgb {
    fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix('#').filter(|hex| hex.len() == 6)?;
        let all = hex.bytes().all(|b| b.is_ascii_hexdigit());
        let [_, red, green, blue] = u32::from_str_radix(hex, 16).ok().filter(|_| all)?.to_be_bytes();
        Some(Self(red, green, blue))
    }

    fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Relative luminance, 0 to 1.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let part = f64::from(channel) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// This colour, darker or lighter in small steps until it has that contrast with a background.
    fn against(self, background: Self, wanted: f64) -> Self {
        let towards: u16 = if background.luminance() > 0.5 { 0 } else { 255 };
        let mixed = |step: u16| {
            let mix = |channel: u8| {
                let sum = u16::from(channel) * (20 - step) + towards * step;
                u8::try_from(sum / 20).unwrap_or(u8::MAX)
            };
            Self(mix(self.0), mix(self.1), mix(self.2))
        };
        (0..=20).map(mixed).find(|color| contrast(*color, background) >= wanted).unwrap_or_else(|| mixed(20))
    }
}

/// Contrast ratio, 1 to 21.
fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (one.luminance(), other.luminance());
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(text: &str) -> Rgb {
        Rgb::parse(text).unwrap()
    }

    #[test]
    fn whatever_colour_a_tenant_names_everything_can_be_read() {
        let steps = ["00", "1f", "33", "5c", "7a", "99", "bb", "e0", "ff"];
        for red in steps {
            for green in steps {
                for blue in steps {
                    let palette = Palette::of(Some(&format!("#{red}{green}{blue}")));
                    assert!(contrast(rgb(&palette.fill), rgb(&palette.on_fill)) >= TEXT, "{palette:?}");
                    assert!(contrast(rgb(&palette.ink_light), LIGHT) >= TEXT, "{palette:?}");
                    assert!(contrast(rgb(&palette.ink_dark), DARK) >= TEXT, "{palette:?}");
                    assert!(contrast(rgb(&palette.edge_light), LIGHT) >= EDGE, "{palette:?}");
                    assert!(contrast(rgb(&palette.edge_dark), DARK) >= EDGE, "{palette:?}");
                }
            }
        }
    }

    #[test]
    fn a_colour_that_reads_well_stays_as_it_is() {
        let palette = Palette::of(Some("#0a7d5a"));
        assert_eq!((palette.fill.as_str(), palette.on_fill.as_str()), ("#0a7d5a", "#ffffff"));
        assert_eq!(palette.ink_light, "#0a7d5a");
        assert_eq!(Palette::of(Some("#FFE066")).on_fill, "#000000");
    }

    #[test]
    fn what_is_no_colour_becomes_the_usual_one() {
        for bad in ["", "red", "#fff", "#12345g", "#+12345", "red;}</style>", "#1234567"] {
            assert_eq!(Palette::of(Some(bad)), Palette::of(None), "{bad}");
        }
    }

    #[test]
    fn the_contrast_ratio_is_that_of_the_standard() {
        assert!((contrast(rgb("#000000"), rgb("#ffffff")) - 21.0).abs() < 0.001);
        assert!((contrast(rgb("#777777"), rgb("#ffffff")) - 4.478).abs() < 0.01);
    }
}
