// Who may do what in the app's own group, each with the calls that need it. The names are derived, so that a second
// deployment finds them. On the workspace: roles-workspace.bicep. On the subscription: roles-subscription.bicep.
param appPrincipalId string
param trainingPrincipalId string
param storageTopicPrincipalId string
param workspaceTopicPrincipalId string
param deployerId string
param deployerType string
param hostAccountName string
param dataAccountName string
param vaultName string
param insightsName string

var blobOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var queueContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var tableContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'
var roles = 'Microsoft.Authorization/roleDefinitions'

resource host 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: hostAccountName
}

resource data 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: dataAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

// The platform, as the app: its code, leases of timers, keys of functions.
resource appHostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, appPrincipalId, blobOwner)
  scope: host
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, blobOwner)
  }
}

// The platform, as the app: its own queues.
resource appHostQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, appPrincipalId, queueContributor)
  scope: host
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, queueContributor)
  }
}

// The platform, as the app: its diagnostics.
resource appHostTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, appPrincipalId, tableContributor)
  scope: host
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, tableContributor)
  }
}

// shared/azure/storage: containers, blobs, leases.
resource appDataBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data.id, appPrincipalId, blobContributor)
  scope: data
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, blobContributor)
  }
}

// shared/azure/storage, and the trigger of step_due: the queue.
resource appDataQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data.id, appPrincipalId, queueContributor)
  scope: data
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, queueContributor)
  }
}

// The platform, as the app: SCORING_KEYS and PAGE_KEYS come from the vault.
resource appSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, appPrincipalId, secretsUser)
  scope: vault
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, secretsUser)
  }
}

// The platform, as the app: logs.
resource appLogs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, appPrincipalId, metricsPublisher)
  scope: insights
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, metricsPublisher)
  }
}

// The machines that train: the component mounts frozen rows for reading and writing.
resource trainingData 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data.id, trainingPrincipalId, blobContributor)
  scope: data
  properties: {
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, blobContributor)
  }
}

// Event Grid, as the topics: dead letters.
resource storageDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data.id, storageTopicPrincipalId, blobContributor)
  scope: data
  properties: {
    principalId: storageTopicPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, blobContributor)
  }
}

resource workspaceDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(data.id, workspaceTopicPrincipalId, blobContributor)
  scope: data
  properties: {
    principalId: workspaceTopicPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(roles, blobContributor)
  }
}

// Who deployed: drops the first file, reads reports.
resource deployerData 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerId)) {
  name: guid(data.id, deployerId, blobContributor)
  scope: data
  properties: {
    principalId: deployerId
    principalType: deployerType
    roleDefinitionId: subscriptionResourceId(roles, blobContributor)
  }
}

// Who deployed: reads the scoring key to ask the first question.
resource deployerSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerId)) {
  name: guid(vault.id, deployerId, secretsUser)
  scope: vault
  properties: {
    principalId: deployerId
    principalType: deployerType
    roleDefinitionId: subscriptionResourceId(roles, secretsUser)
  }
}
