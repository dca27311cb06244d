//! The catalogue, in memory.

use super::MemoryStore;
use tandem_engine::log::{Catalogue, Position, Row, Stored};
use tandem_engine::object::ObjectId;
use tandem_values::Handle;

impl Catalogue for MemoryStore {
    fn position(&self) -> Stored<Position> {
        Ok(self.books.lock().folded)
    }

    fn fold(
        &self,
        from: Position,
        to: Position,
        rows: &[(ObjectId, Position, Option<Vec<u8>>)],
    ) -> Stored {
        let mut books = self.books.lock();
        if books.folded != from {
            return Ok(());
        }
        for (id, position, body) in rows {
            let handle = if let Some(handle) = books.handles.get(id) {
                *handle
            } else {
                books.handles_given += 1;
                let handle = books.handles_given;
                books.handles.insert(*id, handle);
                handle
            };
            let row = Row { handle, id: *id, position: *position, body: body.clone() };
            books.rows.insert(handle, row);
        }
        books.folded = to;
        books.changed();
        Ok(())
    }

    fn changed(&self, after: Position, to: Position) -> Stored<Vec<Row>> {
        let books = self.books.lock();
        let rows = books.rows.values().filter(|row| row.position > after && row.position <= to);
        Ok(rows.cloned().collect())
    }

    fn row(&self, id: ObjectId) -> Stored<Option<Row>> {
        let books = self.books.lock();
        Ok(books.handles.get(&id).and_then(|handle| books.rows.get(handle)).cloned())
    }

    fn rows_at(&self, handles: &[Handle]) -> Stored<Vec<Row>> {
        let books = self.books.lock();
        Ok(handles.iter().filter_map(|handle| books.rows.get(handle)).cloned().collect())
    }

    fn generation(&self) -> u64 {
        self.books.lock().generation
    }
}
