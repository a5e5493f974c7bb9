"""The consumer that keeps a table of Alibaba Cloud's Table Store in step with a DynamoDB table."""
