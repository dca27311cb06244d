//! The checkpoint, in memory.

use super::MemoryStore;
use std::sync::Arc;
use tandem_engine::log::{Checkpoints, Pages, Sink, Stored};

struct MemoryPages(Arc<Vec<u8>>);

impl Pages for MemoryPages {
    fn size(&self) -> Stored<u64> {
        Ok(self.0.len() as u64)
    }

    fn read(&self, at: u64, len: usize) -> Stored<Vec<u8>> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        Ok(self.0.iter().skip(at).take(len).copied().collect())
    }
}

impl Checkpoints for MemoryStore {
    fn checkpoint(&self) -> Stored<Option<Box<dyn Pages>>> {
        let bytes = self.books.lock().checkpoint.clone();
        Ok(bytes.map(|bytes| Box::new(MemoryPages(bytes)) as Box<dyn Pages>))
    }

    fn set_checkpoint(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored {
        let mut bytes = Vec::new();
        write(&mut |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        self.books.lock().checkpoint = Some(Arc::new(bytes));
        Ok(())
    }

    fn drop_checkpoint(&self) -> Stored {
        self.books.lock().checkpoint = None;
        Ok(())
    }
}
