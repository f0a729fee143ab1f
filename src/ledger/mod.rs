//! F5: journal files and what reads them.
