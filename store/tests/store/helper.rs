//! Other processes: this test program, started again with a task.
