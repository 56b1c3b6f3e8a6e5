# A table for the business data of the quick start. You have such tables already.
aws dynamodb create-table --table-name orders \
  --billing-mode PAY_PER_REQUEST \
  --attribute-definitions AttributeName=orderId,AttributeType=S \
  --key-schema AttributeName=orderId,KeyType=HASH
