# Queries that monitor an outbox table, and the stack of its alarms, with the AWS CLI.

# #region monitoring
# Due time of the oldest waiting event, in epoch milliseconds. A future time: nothing is due. None: nothing is waiting.
aws dynamodb query --table-name outbox --index-name status-gsiSortKey-index \
  --key-condition-expression '#s = :s' --expression-attribute-names '{"#s":"status"}' \
  --expression-attribute-values '{":s":{"S":"created"}}' \
  --limit 1 --no-paginate --query 'Items[0].gsiSortKey.N' --output text

# Number of dead letters
aws dynamodb query --table-name outbox --index-name status-gsiSortKey-index \
  --key-condition-expression '#s = :s' --expression-attribute-names '{"#s":"status"}' \
  --expression-attribute-values '{":s":{"S":"failed"}}' \
  --select COUNT --query Count --output text
# #endregion

# #region alarms
aws cloudformation deploy --stack-name outbox-alarms --template-file alarms.cloudformation.yml \
  --parameter-overrides TableName=outbox TopicArn=arn:aws:sns:eu-central-1:111122223333:alarms
# #endregion
