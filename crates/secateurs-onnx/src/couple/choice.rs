//! [`Choice`]: what the user chose that changes which channels are coupled or held.

/// What the user chose. By default, every cut is exact, and heads of attention lose entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// Layer norms may range over the channels that are kept.
    pub layer_norm: bool,
    /// Maxima and minima may range over the channels that are kept.
    pub maximum: bool,
    /// Channels that are not zero where they are read are not held for that: what they send is found out for each.
    pub as_they_are: bool,
    /// Attention loses whole heads.
    pub whole_heads: bool,
    /// Grouped queries lose as many heads of each group, and keys and values none.
    pub query_heads: bool,
}

impl Choice {
    /// Whether heads go as a whole.
    pub fn heads_are_whole(self) -> bool {
        self.whole_heads || self.query_heads
    }
}
