#![no_main]
zorilla_fuzz::fuzz!("txn");
