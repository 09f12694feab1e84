// Where the app tells what people wait for, as CloudEvents, for whoever subscribes. It takes no key.
param location string
param tags object
param topicName string
param appPrincipalId string

var eventSender = 'd5a91429-5739-47e2-a06b-3470a27159e7'

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: topicName
  location: location
  tags: tags
  properties: {
    disableLocalAuth: true
    inputSchema: 'CloudEventSchemaV1_0'
    minimumTlsVersionAllowed: '1.2'
  }
}

// shared/azure/notifications: Microsoft.EventGrid/events/send.
resource appNotifies 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(topic.id, appPrincipalId, eventSender)
  scope: topic
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', eventSender)
  }
}

output endpoint string = topic.properties.endpoint
