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

fn written(write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

impl Checkpoints for MemoryStore {
    fn checkpoint(&self) -> Stored<Option<Box<dyn Pages>>> {
        let bytes = self.books.lock().checkpoint.clone();
        Ok(bytes.map(|bytes| Box::new(MemoryPages(bytes)) as Box<dyn Pages>))
    }

    fn set_checkpoint(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored {
        let bytes = written(write)?;
        self.books.lock().checkpoint = Some(Arc::new(bytes));
        Ok(())
    }

    fn scratch(&self, write: &mut dyn FnMut(&mut Sink<'_>) -> Stored) -> Stored<Box<dyn Pages>> {
        Ok(Box::new(MemoryPages(Arc::new(written(write)?))))
    }

    fn drop_checkpoint(&self) -> Stored {
        self.books.lock().checkpoint = None;
        Ok(())
    }
}
