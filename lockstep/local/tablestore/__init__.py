"""A Table Store on one machine: the requests of Alibaba Cloud's SDKs, over rows in SQLite."""
