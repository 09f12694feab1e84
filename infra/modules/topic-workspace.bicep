// What tells of runs that changed. It stands where the workspace stands. Azure allows one system topic a workspace: if
// an existing workspace has one already, see docs/deploy.md.
param tags object
param topicName string
param workspaceName string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: topicName
  location: workspace.location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: workspace.id
    topicType: 'Microsoft.MachineLearningServices.Workspaces'
  }
}

output id string = topic.id
output principalId string = topic.identity.principalId
