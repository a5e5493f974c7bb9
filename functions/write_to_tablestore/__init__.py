"""The consumer that keeps a table of Alibaba Cloud's Table Store in step with a DynamoDB table."""

import logging

# When it is imported, the SDK warns that its native code is missing. It is left out on purpose.
logging.getLogger("tablestore").setLevel(logging.ERROR)
