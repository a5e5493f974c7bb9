"""The protobuf messages of Table Store, as Alibaba's own SDK for Python has them.

The extra `tablestore` installs the SDK. Its import also loads its client.
"""

from tablestore.protobuf import table_store_filter_pb2 as filters
from tablestore.protobuf import table_store_pb2 as tables

__all__ = ["filters", "tables"]
