// Who may do what on the workspace, new or not, each with the calls that need it (shared/azure/workspace).
param workspaceName string
param appPrincipalId string
param readerNeeded bool

var dataScientist = 'f6c7c914-8db3-469d-8ca1-694a8f32e121'
var reader = 'acdd72a7-3385-48ef-bd42-f606fba81ae7'

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

// Jobs (read, write, cancel), experiments/runs (read, submit), artifacts, models, components, datastores (read),
// onlineEndpoints and deployments (read, write, delete, listKeys, getLogs), computes (read).
resource appWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(workspace.id, appPrincipalId, dataScientist)
  scope: workspace
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', dataScientist)
  }
}

// The workspace's own properties (workspaces/read), where Monitoring Reader on the subscription is not assigned.
resource appReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (readerNeeded) {
  name: guid(workspace.id, appPrincipalId, reader)
  scope: workspace
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', reader)
  }
}
