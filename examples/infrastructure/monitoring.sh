# What to look at in an outbox table, with the AWS CLI.

# #region monitoring
# When the event that is due longest became due, in epoch milliseconds (later than now: nothing is due; None: nothing waits)
aws dynamodb query --table-name outbox --index-name status-gsiSortKey-index \
  --key-condition-expression '#s = :s' --expression-attribute-names '{"#s":"status"}' \
  --expression-attribute-values '{":s":{"S":"created"}}' \
  --limit 1 --no-paginate --query 'Items[0].gsiSortKey.N' --output text

# How many dead letters there are
aws dynamodb query --table-name outbox --index-name status-gsiSortKey-index \
  --key-condition-expression '#s = :s' --expression-attribute-names '{"#s":"status"}' \
  --expression-attribute-values '{":s":{"S":"failed"}}' \
  --select COUNT --query Count --output text
# #endregion
