// What the app may read of the subscription, because Azure asks there and not at the workspace:
//   locations/vmSizes, locations/usages        machine sizes and quota, before each training
//   locations/mfeOperationsStatus              why a write failed
//   Microsoft.Insights/metrics (getBatch)      who asks endpoints, before anything is put to sleep or judged
//   workspaces/read                            the workspace's region
//   systemTopics/eventSubscriptions/read       the doctor looks at the subscriptions
targetScope = 'subscription'

param appPrincipalId string

var monitoringReader = '43d0d8ad-25c7-4714-9337-8ba259a9fe05'

resource reader 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, appPrincipalId, monitoringReader)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringReader)
  }
}
