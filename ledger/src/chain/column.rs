//! An array in the binary form of Postgres' `array_send`.

use sha2::{Digest, Sha256};

/// Types by their number in Postgres' catalogue, which stands in an array's binary form.
pub(super) mod oid {
    pub(crate) const BOOL: i32 = 16;
    pub(crate) const INT8: i32 = 20;
    pub(crate) const INT2: i32 = 21;
    pub(crate) const INT4: i32 = 23;
    pub(crate) const TIMESTAMPTZ: i32 = 1184;
}

#[derive(Debug)]
pub(super) struct Column {
    oid: i32,
    count: i32,
    has_nulls: bool,
    has_values: bool,
    elements: Vec<u8>,
}

impl Column {
    pub(super) fn new(oid: i32) -> Self {
        Self { oid, count: 0, has_nulls: false, has_values: false, elements: Vec::new() }
    }

    pub(super) fn count(&self) -> i32 {
        self.count
    }

    pub(super) fn has_values(&self) -> bool {
        self.has_values
    }

    /// Forgets the elements and keeps the room.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.has_nulls = false;
        self.has_values = false;
        self.elements.clear();
    }

    pub(super) fn push(&mut self, element: &[u8]) {
        let length = i32::try_from(element.len()).expect("an element has at most eight bytes");
        self.count = self.count.saturating_add(1);
        self.has_values = true;
        self.elements.extend_from_slice(&length.to_be_bytes());
        self.elements.extend_from_slice(element);
    }

    pub(super) fn push_optional(&mut self, element: Option<i64>) {
        if let Some(element) = element {
            return self.push(&element.to_be_bytes());
        }
        self.count = self.count.saturating_add(1);
        self.has_nulls = true;
        self.elements.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    pub(super) fn update(&self, hash: &mut Sha256) {
        let (dimensions, lower_bound) = (1_i32, 1_i32);
        for word in [dimensions, i32::from(self.has_nulls), self.oid, self.count, lower_bound] {
            hash.update(word.to_be_bytes());
        }
        hash.update(&self.elements);
    }
}
