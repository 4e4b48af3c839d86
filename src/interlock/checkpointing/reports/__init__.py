"""Reports computed from the tables, such as their sizes and the outcomes of approvals."""
