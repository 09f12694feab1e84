// The machines that train write the model into the storage of a workspace that is made here.
param storageName string
param trainingPrincipalId string

var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource trainingOutput 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, trainingPrincipalId, blobContributor)
  scope: storage
  properties: {
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
  }
}
