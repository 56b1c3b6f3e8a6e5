# The outbox table, with the AWS CLI.
aws dynamodb create-table --table-name outbox \
  --billing-mode PAY_PER_REQUEST \
  --deletion-protection-enabled \
  --attribute-definitions \
    AttributeName=id,AttributeType=S \
    AttributeName=status,AttributeType=S \
    AttributeName=gsiSortKey,AttributeType=N \
  --key-schema AttributeName=id,KeyType=HASH \
  --global-secondary-indexes '[{
    "IndexName": "status-gsiSortKey-index",
    "KeySchema": [
      { "AttributeName": "status", "KeyType": "HASH" },
      { "AttributeName": "gsiSortKey", "KeyType": "RANGE" }
    ],
    "Projection": { "ProjectionType": "KEYS_ONLY" }
  }]'

aws dynamodb wait table-exists --table-name outbox

# Enable point-in-time recovery: it can restore the table to any second of the last 35 days.
aws dynamodb update-continuous-backups --table-name outbox \
  --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true
