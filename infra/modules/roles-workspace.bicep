// Who may do what on the workspace, new or not, each with the calls that need it (shared/azure/workspace).
param workspaceName string
param appPrincipalId string

var dataScientist = 'f6c7c914-8db3-469d-8ca1-694a8f32e121'

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
