//! What the settings of every crate are made of: environment variables, read once, all mistakes reported
//! together.
//!
//! Each crate declares one struct with [`settings!`]; its fields carry their documentation, default and, for
//! everything that holds or waits, its bound. `--help`, the settings reference and the parser come from that
//! one declaration, so none of them can forget a setting.
//!
//! Invariant: nothing outside this crate reads the environment.
//!
//! ```
//! platepal_settings::settings! {
//!     /// A lamp.
//!     pub struct Lamp {
//!         /// How bright it is, in lumens.
//!         lumens: u32 = "REALTIME_LAMP_LUMENS", default "800";
//!         /// Who may switch it.
//!         key: Option<platepal_settings::Secret> = "REALTIME_LAMP_KEY", optional;
//!     }
//! }
//!
//! let mut reader = platepal_settings::Reader::new([("REALTIME_LAMP_LUMENS", "1200")]);
//! let lamp = reader.read::<Lamp>();
//! reader.finish(Lamp::SPECS).expect("no mistakes");
//! assert_eq!(lamp.expect("read").lumens, 1200);
//! ```

mod effective;
mod reader;
mod reference;
mod spec;
mod value;

pub use effective::Effective;
pub use reader::{Mistakes, Reader};
pub use reference::{help, markdown};
pub use spec::{Bound, Fallback, Group, Spec};
pub use value::{ByteSize, Secret, Value};

/// Declares a settings struct: fields, documentation, environment names, defaults and bounds in one place.
///
/// A field is `name: Type = "REALTIME_NAME", <fallback>[, bound { … }];` where the fallback is `default
/// "text"`, `optional` (the type is an `Option`) or `required "why it has no default"`. A bound names its
/// unit, what happens when it is reached, and the metric that shows it; every queue, buffer, cache, retry and
/// timeout has one.
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $group_doc:literal])+
        pub struct $group:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident : $type:ty = $name:literal, $fallback:ident $($text:literal)?
                $(, bound { unit: $unit:literal, full: $full:literal, metric: $metric:literal })?;
            )+
        }
    ) => {
        $(#[doc = $group_doc])+
        #[derive(Debug, Clone)]
        pub struct $group {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl $group {
            /// Every setting of this group, in the order of declaration.
            pub const SPECS: &'static [$crate::Spec] = &[$(
                $crate::Spec {
                    name: $name,
                    doc: concat!($($doc),+),
                    kind: <$type as $crate::Value>::KIND,
                    secret: <$type as $crate::Value>::SECRET,
                    fallback: $crate::settings!(@fallback $fallback $($text)?),
                    bound: $crate::settings!(@bound $($unit, $full, $metric)?),
                }
            ),+];
        }

        impl $crate::Group for $group {
            const TITLE: &'static str = concat!($($group_doc),+);
            const SPECS: &'static [$crate::Spec] = $group::SPECS;

            fn read(reader: &mut $crate::Reader) -> Option<Self> {
                // All fields are read before any is missed, so that one run reports every mistake.
                $( let $field = reader.value::<$type>($name); )+
                Some(Self { $( $field: $field?, )+ })
            }
        }
    };
    (@fallback default $text:literal) => { $crate::Fallback::Default($text) };
    (@fallback optional) => { $crate::Fallback::Optional };
    (@fallback required $why:literal) => { $crate::Fallback::Required($why) };
    (@bound) => { None };
    (@bound $unit:literal, $full:literal, $metric:literal) => {
        Some($crate::Bound { unit: $unit, full: $full, metric: $metric })
    };
}
